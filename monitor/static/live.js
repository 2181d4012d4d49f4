// A WebSocket that comes back by itself, without a gap: docs/live.md.

import { socketUrl } from "./api.js";

const PING = 15_000; // ms of silence after which the server is asked whether it is there
const PATIENCE = 5_000;

// Calls `message` for all that happens on a channel, `missed` when something may be missing (and
// at first), `status` with `connecting`, `live`, `stale` or `lost`. Returns how to end it.
export function follow(channel, { message, missed, status }) {
  let since = "";
  let pause = 500;
  let socket = null;
  let timer = 0;
  let ended = false;

  const watch = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      socket.send('{"action": "ping"}');
      timer = setTimeout(() => drop(socket), PATIENCE);
    }, PING);
  };

  // A socket on a dead network takes minutes to close: what it does afterwards is nobody's.
  const drop = (old) => {
    if (old !== socket) return;
    clearTimeout(timer);
    socket = null;
    old.close();
    if (ended) return;
    status("lost");
    setTimeout(open, pause * (0.5 + Math.random() / 2));
    pause = Math.min(2 * pause, 10_000);
  };

  const take = (each) => {
    const first = !since;
    since = each.id;
    if (each.channel) message(each);
    else if (each.event === "stale") status("stale");
    else if (each.event === "subscribed" || each.event === "resumed") {
      status("live");
      if (first || each.data.recovered === false) missed();
    }
  };

  const open = () => {
    if (ended) return;
    const query = new URLSearchParams({ channels: channel, coalesce: 100 });
    if (since) query.set("since", since);
    const mine = new WebSocket(socketUrl(query));
    socket = mine;
    status("connecting");
    mine.onopen = () => {
      pause = 500;
      watch();
    };
    mine.onmessage = ({ data }) => {
      if (mine !== socket) return;
      watch();
      JSON.parse(data).forEach(take);
    };
    mine.onclose = () => drop(mine);
  };

  open();
  return () => {
    ended = true;
    if (socket) drop(socket);
  };
}
