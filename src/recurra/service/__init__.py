"""The service: runs behind HTTP, and a page for people.

models      the runs, by name, loaded         schemas         bodies of requests and answers, with their bounds
reloading   a run that was trained anew       versions        which state of its files is served
app         the routes                        middleware      around each request: id, limits, key, headers, log
batching    requests that share a batch       worker          the one thread that computes
deadline    a model that stops in time        header_timeout  a time limit on the head of a request
streams     answers as they grow              sessions        texts that come piece by piece
limits      how much one may ask for          errors          what is refused, and how it is said
log         lines of JSON                     metrics         numbers for Prometheus
server      the process, from start to end    page/           the page at /
hosts       which names it answers to         galleries       pictures that are searched beside a run

Needs `pip install "recurra[serve]"`. The command line imports it inside `recurra serve` only.
"""

from __future__ import annotations

from recurra.service.app import Service, create_app
from recurra.service.hosts import names_for
from recurra.service.limits import Limits
from recurra.service.log import Log
from recurra.service.models import Beside, LoadedModel, body_bytes_of, open_runs
from recurra.service.server import listening, serve, server, url_of

__all__ = [
    "Beside",
    "Limits",
    "LoadedModel",
    "Log",
    "Service",
    "body_bytes_of",
    "create_app",
    "listening",
    "names_for",
    "open_runs",
    "serve",
    "server",
    "url_of",
]
