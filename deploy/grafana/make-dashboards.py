#!/usr/bin/env python3
"""Writes the dashboards: a panel is a title, a unit and its queries. Run it after a change here; the JSON is committed."""
import json
import pathlib

HERE = pathlib.Path(__file__).parent / "dashboards"


def panel(number, title, unit, *queries, kind="timeseries"):
    return {
        "id": number + 1, "title": title, "type": kind,
        "datasource": {"type": "prometheus", "uid": "prometheus"},
        "gridPos": {"h": 8, "w": 8, "x": number % 3 * 8, "y": number // 3 * 8},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [{"refId": chr(65 + i), "expr": expression, "legendFormat": legend}
                    for i, (expression, legend) in enumerate(queries)],
    }


def dashboard(uid, title, panels):
    return {"uid": uid, "title": title, "tags": ["grafikarsa"], "timezone": "browser", "refresh": "30s", "schemaVersion": 39,
            "time": {"from": "now-3h", "to": "now"}, "panels": [panel(i, *p) for i, p in enumerate(panels)]}


def per_job(expression):
    return (expression, "{{job}}")


PRODUCT = dashboard("grafikarsa-product", "Grafikarsa: product", [
    ("Requests", "reqps", per_job("job:http_requests:rate5m")),
    ("Errors (5xx)", "percentunit", per_job("job:http_errors:ratio5m")),
    ("Slowest twentieth", "s", per_job("job:http_request_duration_seconds:p95_5m")),
    ("Answers by status", "reqps", ("sum by (status) (rate(http_requests_total[5m]))", "{{status}}")),
    ("Busiest routes", "reqps", ("topk(10, sum by (method, route) (rate(http_requests_total[5m])))", "{{method}} {{route}}")),
    ("Slowest routes (p95)", "s", ("topk(10, histogram_quantile(0.95, sum by (route, le) (rate(http_request_duration_seconds_bucket[5m]))))", "{{route}}")),
    ("Replicas", "short", per_job('sum by (job) (up{job=~"auth|portfolio|media"})')),
    ("Refused by limits (429)", "reqps", per_job('sum by (job) (rate(http_requests_total{status="429"}[5m]))')),
    ("Views dropped", "ops", per_job("sum by (job) (rate(portfolio_views_dropped_total[5m]))")),
])

EVENTS = dashboard("grafikarsa-events", "Grafikarsa: events", [
    ("Oldest unpublished event", "s", per_job("max by (job) (events_outbox_oldest_seconds)")),
    ("Unpublished events", "short", per_job("max by (job) (events_outbox_pending)")),
    ("Dead letters", "short", per_job("max by (job) (events_dead_letters)")),
    ("Published", "ops", ("sum by (event) (rate(events_published_total[5m]))", "{{event}}")),
    ("Applied", "ops", ("sum by (consumer, outcome) (rate(events_consumed_total[5m]))", "{{consumer}} {{outcome}}")),
    ("Before the consumers", "short", ("max by (consumer) (events_consumer_pending)", "{{consumer}}")),
    ("Bytes of the streams", "bytes", ("sum by (stream_name) (jetstream_stream_total_bytes)", "{{stream_name}}")),
    ("Messages at NATS", "ops", ("rate(gnatsd_varz_in_msgs[5m])", "in"), ("rate(gnatsd_varz_out_msgs[5m])", "out")),
])

MACHINE = dashboard("grafikarsa-machine", "Grafikarsa: machine", [
    ("CPU", "percentunit", ('1 - avg(rate(node_cpu_seconds_total{mode="idle"}[5m]))', "busy")),
    ("Memory", "percentunit", ("1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes", "used")),
    ("Disk", "percentunit", ('1 - node_filesystem_avail_bytes{fstype!~"tmpfs|overlay|squashfs"} / node_filesystem_size_bytes', "{{mountpoint}}")),
    ("Connections to PostgreSQL", "short", ("sum by (datname) (pg_stat_database_numbackends)", "{{datname}}"), ("max(pg_settings_max_connections)", "most")),
    ("Transactions", "ops", ("sum(rate(pg_stat_database_xact_commit[5m]))", "committed"), ("sum(rate(pg_stat_database_xact_rollback[5m]))", "rolled back")),
    ("Size of the database", "bytes", ('pg_database_size_bytes{datname="grafikarsa"}', "{{datname}}")),
    ("Certificate", "s", ("probe_ssl_earliest_cert_expiry - time()", "valid for")),
    ("The site from outside", "s", ("probe_duration_seconds", "/health"), ("probe_success", "answers")),
])

for board in (PRODUCT, EVENTS, MACHINE):
    (HERE / f"{board['uid']}.json").write_text(json.dumps(board, indent=1) + "\n")
