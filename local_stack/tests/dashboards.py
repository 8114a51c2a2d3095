"""Two dashboards of Grafana as people write them, about what any Prometheus has: itself."""

from local_stack.server.documents import Document

PROMETHEUS = {"type": "prometheus", "uid": "${source}"}


def panel(kind: str, title: str, *expressions: str, place: str = "0 0 12 8", **more: object) -> Document:
    """A panel, whose place is x, y, width and height."""
    x, y, w, h = map(int, place.split())
    targets = [
        {"refId": chr(65 + number), "expr": expression, "datasource": PROMETHEUS}
        for number, expression in enumerate(expressions)
    ]
    grid = {"gridPos": {"x": x, "y": y, "w": w, "h": h}}
    about = {"type": kind, "title": title, "datasource": PROMETHEUS, "interval": "1s"}
    return {**about, "targets": targets, **grid, **more}


def field(overrides: list[Document] | None = None, **defaults: object) -> Document:
    return {"defaults": defaults, "overrides": overrides or []}


def variable(name: str, kind: str, query: object, **more: object) -> Document:
    return {"name": name, "type": kind, "query": query, **more}


STEPS = [{"color": "green", "value": None}, {"color": "red", "value": 80}]

# Of a service: rows, one of them closed and one repeated, many kinds of panels and of variables.
SERVICE: Document = {
    "title": "A service <b>",
    "time": {"from": "now-15m", "to": "now"},
    "refresh": "",
    "templating": {
        "list": [
            variable("source", "datasource", "prometheus"),
            variable("job", "query", "label_values(up, job)", multi=True, includeAll=True, sort=1),
            variable("rate", "interval", "1m,5m", current={"value": "5m"}),
            variable("limit", "textbox", "0.5"),
            variable("unit", "constant", "s", hide=2),
            variable("kind", "custom", "Fast : 0.5,Slow : 0.99"),
        ]
    },
    "panels": [
        {"type": "row", "title": "Now", "collapsed": False, "gridPos": {"x": 0, "y": 0, "w": 24, "h": 1}},
        panel(
            "timeseries",
            "Requests of $job over ${rate}",
            'sum by (code) (rate(prometheus_http_requests_total{job=~"$job"}[$rate]))',
            "vector($limit)",
            place="0 1 12 8",
            fieldConfig=field(unit="reqps", custom={"stacking": {"mode": "normal"}, "fillOpacity": 20}),
        ),
        panel("stat", "Up", 'sum(up{job=~"$job"})', place="12 1 6 8"),
        panel("gauge", "Share", "vector(0.42)", place="18 1 6 8", fieldConfig=field(unit="percentunit")),
        panel("table", "Targets", "up", place="0 9 12 8"),
        panel("alertlist", "On", place="12 9 6 8"),
        panel("geomap", "Where", "up", place="18 9 6 8"),
        {"type": "text", "title": "About", "options": {"content": "Read *this*: ${kind}"}},
        {
            "type": "row",
            "title": "Closed",
            "collapsed": True,
            "panels": [panel("bargauge", "By code", "sum by (code) (prometheus_http_requests_total)")],
        },
        {"type": "row", "title": "Of $job", "repeat": "job", "panels": []},
        panel("stat", "Only $job", 'up{job="$job"}', place="0 20 6 4"),
    ],
}

# Of a machine: thresholds, mappings, lines of two units, buckets, a refused query.
MACHINE: Document = {
    "title": "A machine",
    "refresh": "1s",
    "timezone": "utc",
    "time": {"from": "now-5m", "to": "now"},
    "annotations": {"list": [{"name": "Starts", "expr": "changes(process_start_time_seconds[1m]) > 0"}]},
    "panels": [
        panel(
            "timeseries",
            "Memory",
            "process_resident_memory_bytes",
            "rate(process_cpu_seconds_total[$__rate_interval])",
            fieldConfig=field(
                [
                    {
                        "matcher": {"id": "byFrameRefID", "options": "B"},
                        "properties": [{"id": "unit", "value": "percentunit"}],
                    }
                ],
                unit="bytes",
                thresholds={"mode": "absolute", "steps": STEPS},
                custom={"thresholdsStyle": {"mode": "line"}},
            ),
        ),
        panel(
            "state-timeline",
            "Up",
            "up",
            place="12 0 12 4",
            fieldConfig=field(
                mappings=[{"type": "value", "options": {"1": {"text": "well", "color": "green"}}}]
            ),
        ),
        panel("stat", "Refused", "sum(", place="12 4 12 4"),
        panel(
            "heatmap",
            "Sizes",
            "sum by (le) (increase(prometheus_http_response_size_bytes_bucket[$__rate_interval]))",
            place="0 8 24 8",
        ),
    ],
}
MACHINE["panels"][3]["targets"][0]["legendFormat"] = "{{le}}"
