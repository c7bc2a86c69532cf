"""How the image serves: one worker with many threads. More load is more instances, which the platform starts."""

import os
from pathlib import Path

main = Path(__file__).with_name("main.py")
wsgi_app = f'functions_framework:create_app("on_event", "{main}", "http")'
bind = f"{os.environ.get('HOST') or '0.0.0.0'}:{os.environ.get('PORT') or 8000}"  # noqa: S104 - a container's port

workers = 1  # deliveries share a batch only within a process
worker_class = "gthread"
threads = int(os.environ.get("THREADS") or 32)  # how many deliveries can share a batch; one that waits costs no call
os.environ["THREADS"] = str(threads)  # the function shares them among its projects

limit_request_line = 8190  # the function's own limit, so that it is the function that answers below that
timeout = 0  # each delivery has its own deadline; a worker is not killed for a slow cloud
graceful_timeout = int(os.environ.get("GRACE") or 8)  # SIGTERM ends every deadline, and calls under way get 5 s
keepalive = 75  # longer than the 60 s of the usual front, so that it never writes to a connection we are closing

worker_tmp_dir = "/tmp"  # noqa: S108 - the only place that may be written
control_socket_disable = True  # nobody asks it, and it wants a home to write to
errorlog = "-"
loglevel = os.environ.get("GUNICORN_LOG_LEVEL") or "error"  # its warnings repeat what is no request, tokens and all
