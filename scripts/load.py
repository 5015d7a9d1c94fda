#!/usr/bin/env python3
"""Reads and writes on 32 connections until SIGTERM or for SECONDS, then one JSON line: requests, failures, slowest.

usage: ADMIN_PASSWORD=… scripts/load.py BASE_URL [SECONDS]      for `make update` and `make scale` under load

A failure is an answer of 5xx, or none. A connection that the server closed while it was idle is opened again and the request
repeated, as browsers do; those are counted apart. Each thread stays below the limits of its user, so 429 is a failure too.
"""
import http.client
import json
import os
import secrets
import signal
import ssl
import sys
import threading
import time
import urllib.parse
from collections import Counter

THREADS, PAUSE = 32, 0.12
base = urllib.parse.urlsplit(sys.argv[1])
admin_password = os.environ["ADMIN_PASSWORD"]
seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 3600
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
end = threading.Event()
lock = threading.Lock()
counts, failures, statuses, slowest = Counter(), [], Counter(), [0.0]


class Client:
    def __init__(self, token=None):
        self.token, self.connection, self.used = token, None, False

    def open(self):
        if base.scheme == "https":
            self.connection = http.client.HTTPSConnection(base.hostname, base.port, timeout=40, context=context)
        else:
            self.connection = http.client.HTTPConnection(base.hostname, base.port, timeout=40)
        self.used = False

    def once(self, method, path, body):
        headers = {"User-Agent": "load"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if body is not None:
            body, headers["Content-Type"] = json.dumps(body), "application/json"
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        text = answer.read()
        self.used = not answer.will_close
        if answer.will_close:
            self.connection.close()
            self.connection = None
        return answer.status, text

    def call(self, method, path, body=None, count=True):
        started = time.monotonic()
        try:
            if self.connection is None:
                self.open()
            try:
                status, text = self.once(method, path, body)
            except (http.client.RemoteDisconnected, ConnectionError, ssl.SSLError, http.client.CannotSendRequest):
                if not self.used:
                    raise
                with lock:
                    counts["reopened"] += 1
                self.connection.close()
                self.open()
                status, text = self.once(method, path, body)
        except Exception as error:  # whatever it was, the visitor got no answer
            self.connection = None
            status, text = 0, repr(error).encode()
        took = time.monotonic() - started
        if count:
            with lock:
                counts["requests"] += 1
                counts["writes"] += method != "GET"
                statuses[status] += 1
                slowest[0] = max(slowest[0], took)
                if status == 0 or status >= 500 or status == 429:
                    failures.append([time.strftime("%H:%M:%S"), method, path, status, text[:160].decode(errors="replace")])
        try:
            return status, json.loads(text)
        except ValueError:
            return status, None


def must(answer):
    status, body = answer
    if status >= 300 or status == 0:
        sys.exit(f"setup failed: {status} {body}")
    return body["data"]


def login(username, password):
    token = must(Client().call("POST", "/api/v1/auth/login", {"username": username, "password": password}, False))
    return Client(token["access_token"])


admin = login("admin", admin_password)
run = secrets.token_hex(3)


def reader():
    client = Client()
    while not end.is_set():
        client.call("GET", "/api/v1/feed?algorithm=recent")
        end.wait(PAUSE)
        client.call("GET", "/api/v1/portfolios?limit=20")
        end.wait(PAUSE)


def student(number):
    name, password = f"beban_{run}_{number}", secrets.token_hex(8)
    must(admin.call("POST", "/api/v1/admin/users", {"username": name, "email": f"{name}@example.sch.id", "password": password,
                                                    "nama": "Beban", "role": "student"}, False))
    client = login(name, password)
    portfolio = must(client.call("POST", "/api/v1/portfolios", {"judul": f"Beban {number}"}, False))["id"]
    return number, name, password, client, portfolio


def writer(number, name, password, client, portfolio):
    started, round_ = time.monotonic(), 0
    promised = 0.0
    while not end.is_set():
        round_ += 1
        if time.monotonic() - started > 600:
            client = login(name, password)
            started = time.monotonic()
        for method, path, body in (
            ("PATCH", f"/api/v1/portfolios/{portfolio}", {"judul": f"Beban {number} {round_}"}),
            ("GET", "/api/v1/me", None),
            ("POST", "/api/v1/uploads/presign", {"upload_type": "portfolio_image", "filename": "a.jpg", "content_type": "image/jpeg",
                                                 "file_size": 1000, "portfolio_id": portfolio}),
            ("GET", "/api/v1/auth/sessions", None),
            # Through portfolio into auth.
            ("PATCH", "/api/v1/me", {"email": f"{name}_{round_ % 2}@example.sch.id"}),
        ):
            if path.endswith("/presign"):
                # A user may have 60 promises that he does not take up, each for 15 minutes.
                if time.monotonic() - promised < 20:
                    continue
                promised = time.monotonic()
            status, answer = client.call(method, path, body)
            if status >= 400 and status != 429 and status < 500:
                with lock:
                    failures.append([time.strftime("%H:%M:%S"), method, path, status, json.dumps(answer)[:160]])
            if method == "PATCH" and path.startswith("/api/v1/portfolios") and status == 200:
                # Nothing that was answered may be lost.
                status, answer = client.call("GET", f"/api/v1/portfolios/id/{portfolio}")
                if status == 200 and answer["data"]["judul"] != body["judul"]:
                    with lock:
                        failures.append([time.strftime("%H:%M:%S"), "lost", path, status, answer["data"]["judul"]])
            end.wait(PAUSE)


signal.signal(signal.SIGTERM, lambda *_: end.set())
signal.signal(signal.SIGINT, lambda *_: end.set())
threads = [threading.Thread(target=reader) for _ in range(10)]
threads += [threading.Thread(target=writer, args=student(i)) for i in range(THREADS - 10)]
begun = time.monotonic()
for thread in threads:
    thread.start()
end.wait(seconds)
end.set()
for thread in threads:
    thread.join()
if not statuses or counts["writes"] == 0:
    sys.exit("nothing was written")
print(json.dumps({"requests": counts["requests"], "writes": counts["writes"], "per_second": round(counts["requests"] / (time.monotonic() - begun), 1),
                  "failed": len(failures), "reopened": counts["reopened"], "slowest_s": round(slowest[0], 2),
                  "statuses": dict(statuses), "failures": failures[:20]}))
sys.exit(1 if failures else 0)
