// Prints the messages of some channels, without a gap: node follow.mjs ws://host:8000/ws class:7 …
// Browsers run follow() as it is, Node.js from version 22 on.

export function follow(base, channels, show) {
  let since = "";
  let pause = 500;
  const open = () => {
    const query = new URLSearchParams({ channels: channels.join(","), since });
    const socket = new WebSocket(`${base}?${query}`);
    socket.onopen = () => {
      pause = 500;
    };
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      since = message.id;
      // The one control message to act on: some messages are lost, so fetch the state by REST.
      if (message.channel || message.data.recovered === false) show(message);
    };
    socket.onclose = () => {
      setTimeout(open, pause * (0.5 + Math.random() / 2));
      pause = Math.min(2 * pause, 10_000);
    };
    socket.onerror = () => {}; // onclose follows
  };
  open();
}

if (globalThis.process?.argv[1]?.endsWith("follow.mjs")) {
  const [base, ...channels] = process.argv.slice(2);
  follow(base, channels, (message) => console.log(JSON.stringify(message)));
}
