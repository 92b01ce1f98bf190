"""`choreai serve`: the web application on Ray Serve, with its HTTP server in this process."""

import argparse
import ipaddress
import logging
import os
import secrets
import signal
import socket
import tempfile
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

from choreai.cluster.session import connect
from choreai.config import load_pose_settings
from choreai.errors import ConfigError
from choreai.pipeline.pose_files import share_weights
from choreai.pose.build import follow_poses
from choreai.pose.choice import settle
from choreai.pose.settings import PoseSettings
from choreai.storage import objects
from choreai.storage.uris import resolve_uri
from choreai.style.model import newest_model
from choreai.web.settings import VIEWERS_PER_REPLICA, WebSettings, is_loopback

logger = logging.getLogger(__name__)
TOKEN_VARIABLE = "CHOREAI_WEB_TOKEN"
MIN_TOKEN = 16


def run(arguments: argparse.Namespace) -> int:
    """Serve until interrupted; return 0."""
    token = _token(arguments.host)
    if arguments.max_viewers is not None and arguments.max_viewers < 1:
        raise ConfigError(f"--max-viewers must be at least 1, got {arguments.max_viewers}")
    with ExitStack() as stack:
        data = arguments.data or stack.enter_context(tempfile.TemporaryDirectory(prefix="choreai-web-"))
        output = resolve_uri(arguments.output, against=os.getcwd()) if arguments.output else ""
        model = arguments.model or (newest_model(output) if output else None)
        settings = WebSettings(
            data_folder=str(Path(data).resolve()),
            model=resolve_uri(model, against=os.getcwd()) if model else "",
            output=output,
            pose=_pose_settings(arguments.config, model),
        )
        _serve(
            settings,
            host=arguments.host,
            port=arguments.port,
            token=token,
            max_viewers=arguments.max_viewers,
        )
    return 0


def _pose_settings(config: str | None, model: str | None) -> PoseSettings:
    """Return the [pose] settings of a job file, "auto" being the estimator of the model's training."""
    settings = load_pose_settings(config)
    if model and settings.estimator == "auto":
        from choreai.style.model import load_model

        pose_id = load_model(resolve_uri(model, against=os.getcwd())).config.pose_fingerprint
        settings = follow_poses(settings, pose_id, read_file=objects.read_object)
    return settle(settings, read_file=objects.read_object)


def _serve(settings: WebSettings, *, host: str, port: int, token: str | None, max_viewers: int | None) -> None:
    """Serve until interrupted. `max_viewers` None: as many as the CPUs available now can serve."""
    door = _bind(host, port)
    # When a viewer leaves, their pending requests are cancelled; Ray would log each as an unhandled error.
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")
    session = connect()
    import ray
    from ray import serve

    from choreai.web.app import make_app
    from choreai.web.deployments import check_model, deploy
    from choreai.web.server import make_server

    if session.can_grow and settings.output:
        settings = replace(settings, pose=share_weights(settings.pose, settings.output))
    check_model(settings)
    if max_viewers is None:
        max_viewers = VIEWERS_PER_REPLICA * max(1, int(ray.cluster_resources().get("CPU", 1)))
    settings = replace(settings, max_viewers=max_viewers)
    serve.start(proxy_location="Disabled", logging_config={"log_level": "ERROR", "enable_access_log": False})
    logging.getLogger("ray.serve").setLevel(logging.ERROR)  # the same for this process
    try:
        backend = deploy(settings)
        server = make_server(make_app(settings, backend, token=token))
        signing_in = f" and sign in with the token in {TOKEN_VARIABLE}" if token else ""
        logger.info("open %s in a browser%s; Ctrl-C stops it", addresses_to_open(host, port), signing_in)
        # uvicorn re-raises the signal that stopped it; Ctrl-C and SIGTERM are both normal ways to stop a server.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with suppress(KeyboardInterrupt):
            server.run(sockets=[door])
    finally:
        if session.can_grow:  # a local Ray ends with this process, and the deployments with it
            serve.shutdown()


def addresses_to_open(host: str, port: int) -> str:
    """Return where a browser reaches a server that listens on `host`: 0.0.0.0 and :: are no addresses to open."""
    bare, here = host.strip("[]"), f"http://localhost:{port}/"
    if bare in ("127.0.0.1", "::1"):
        return here
    with suppress(ValueError):  # a name
        if ipaddress.ip_address(bare).is_unspecified:
            return f"http://{_in_url(_own_address())}:{port}/ or, on this machine, {here}"
    return f"http://{_in_url(bare)}:{port}/"


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _own_address() -> str:
    """Return this machine's address in its network: the one from which others would be reached; nothing is sent."""
    for family, documentation in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((documentation, 9))
            own = str(probe.getsockname()[0])
            if not ipaddress.ip_address(own).is_unspecified:
                return own
    return socket.gethostname()


def _bind(host: str, port: int) -> socket.socket:
    """Return a socket bound to the address, before the slow start; it does not listen yet. Raises ConfigError."""
    door = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind((host.strip("[]"), port))
    except (OSError, OverflowError) as exc:
        door.close()
        raise ConfigError(f"cannot listen on {host} port {port} ({exc}); choose another --port or --host") from exc
    return door


def _token(host: str) -> str | None:
    """Return the token that requests must carry; None if only this machine is served. Raises ConfigError."""
    token = os.environ.get(TOKEN_VARIABLE) or None
    if token is None and not is_loopback(host):
        raise ConfigError(
            f"--host {host} can be reached from other machines, which requires a token: set {TOKEN_VARIABLE}, for "
            f"example to {secrets.token_urlsafe(24)}"
        )
    if token is not None and (token != token.strip() or not token.isprintable()):
        raise ConfigError(
            f"{TOKEN_VARIABLE} begins or ends with a blank, or has a line end or another control character in it, "
            "which no header can carry; does the file that it comes from end in a line break?"
        )
    if token is not None and len(token) < MIN_TOKEN:
        raise ConfigError(f"{TOKEN_VARIABLE} must have at least {MIN_TOKEN} characters")
    return token
