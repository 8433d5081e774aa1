"""The service: runs behind HTTP, and a page for people.

served      the runs, by name                 schemas    bodies of requests and answers, with their bounds
reloading   a run that was trained anew       versions   which state of its files is served
app         the routes                        guard      around every request: id, limits, key, headers, log, metrics
batching    requests that share a batch       worker     the one thread that computes       patience   giving up
streams     answers as they grow              sessions   texts that come piece by piece
limits      how much one may ask for          refusals   what is not done, and how it is said
log         lines of JSON                     metrics    numbers for Prometheus
running     the process, from start to end    head       a time limit on the head of a request
page/       the page at /

Needs `pip install "recurra[serve]"`. The command line imports it inside `recurra serve` only.
"""

from __future__ import annotations

from recurra.service.app import Service, create_app
from recurra.service.limits import Limits
from recurra.service.log import Log
from recurra.service.running import listening, serve, server, url_of
from recurra.service.served import Served, open_runs

__all__ = ["Limits", "Log", "Served", "Service", "create_app", "listening", "open_runs", "serve", "server", "url_of"]
