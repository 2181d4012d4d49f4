"""A mail server for the tests, which takes every mail and passes none on."""

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage

LOGIN = ("monitor", "S3cret-in-a-URL")
_ANSWERS = {
    "EHLO": "250-school.example\r\n250-8BITMIME\r\n250 AUTH PLAIN",
    "MAIL": "250 from whom",
    "RCPT": "250 to whom",
    "QUIT": "221 bye",
}


class MailServer:
    """Keeps the mails of who logs in by `LOGIN`, and to whom they were to go."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.port = 0

    @property
    def url(self) -> str:
        """Its URL as a receiver of notifications: `mailto://`, without TLS."""
        user, password = LOGIN
        options = "from=monitor@school.example&to=teacher@school.example"
        return f"mailto://{user}:{password}@school.example:{self.port}?smtp=127.0.0.1&{options}"

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said, has_logged_in = "220 ready", False
        while True:
            writer.write(f"{said}\r\n".encode())
            verb, _, rest = (await reader.readline()).decode().strip().partition(" ")
            if not verb:
                break
            if verb.upper() == "AUTH":
                _, user, password = b64decode(rest.split()[1]).decode().split("\0")
                has_logged_in = (user, password) == LOGIN
                said = "235 known" if has_logged_in else "535 unknown"
            elif verb.upper() == "DATA" and has_logged_in:
                writer.write(b"354 go on\r\n")
                self._keep(await reader.readuntil(b"\r\n.\r\n"))
                said = "250 taken"
            else:
                said = _ANSWERS.get(verb.upper(), "502 unknown")
                if verb.upper() == "RCPT":
                    self.recipients.append(rest)
        writer.close()

    def _keep(self, data: bytes) -> None:
        mail = message_from_bytes(data.removesuffix(b".\r\n"), policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)


@asynccontextmanager
async def receiving_mail() -> AsyncIterator[MailServer]:
    """A mail server on a port of its own."""
    mails = MailServer()
    server = await asyncio.start_server(mails.answer, "127.0.0.1", 0)
    mails.port = server.sockets[0].getsockname()[1]
    async with server:
        yield mails
