"""Who may see and do what on the page: a token is exchanged for a session, which a signed cookie carries."""

import hmac
import secrets
from typing import Literal

from itsdangerous import BadData, URLSafeTimedSerializer
from pydantic import SecretStr

Role = Literal["read", "operate"]
COOKIE = "archloop_session"
SESSION_S = 12 * 3600
_SALT = "archloop page session"


class Access:
    """The tokens of the API, as the page takes them. Where none is set, whoever reaches the port may do everything.

    Sessions are signed by the tokens: they outlive the process, hold at every replica, and end with the tokens.
    """

    def __init__(self, token: SecretStr | None, read_token: SecretStr | None) -> None:
        self._token, self._read_token = token, read_token
        given = [each.get_secret_value() for each in (token, read_token) if each is not None]
        self.open = not given
        self._secret = "\0".join(given) or secrets.token_urlsafe(32)
        self._sessions = URLSafeTimedSerializer(self._secret, salt=_SALT)

    def role_of_token(self, given: str) -> Role | None:
        """Return what the token allows; None for one that is not ours."""
        if self._token is not None and _same(self._token, given):
            return "operate"
        if self._read_token is not None and _same(self._read_token, given):
            return "read" if self._token is not None else "operate"
        return None

    def session(self, role: Role) -> str:
        """Begin a session: the value of its cookie."""
        signed: str = self._sessions.dumps({"role": role, "id": secrets.token_urlsafe(16)})
        return signed

    def role(self, cookie: str | None) -> Role | None:
        """Return what the session of this cookie may do; None where there is none, or it is too old."""
        if self.open:
            return "operate"
        try:
            found = self._sessions.loads(cookie or "", max_age=SESSION_S)
        except BadData:
            return None
        return "operate" if found.get("role") == "operate" else "read"

    def form_token(self, cookie: str | None) -> str:
        """Return what a form of this session has to bring, which no other site can know."""
        session = "" if self.open else cookie or ""
        return hmac.new(self._secret.encode(), f"form\0{session}".encode(), "sha256").hexdigest()

    def is_ours(self, form_token: str, cookie: str | None) -> bool:
        """Return whether a form was made for this session."""
        return hmac.compare_digest(form_token.encode(), self.form_token(cookie).encode())


def _same(token: SecretStr, given: str) -> bool:
    return secrets.compare_digest(given.encode(), token.get_secret_value().encode())
