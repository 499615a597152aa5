"""The pages: archive, sign-up, preferences, leaving. Server-rendered, without JavaScript.

    home.py              /                     what this is, and the form
    archive.py           /archive/...          days, months, issues, the feed; /search
    signup.py            /subscribe /confirm   double opt-in
    unsubscribe.py       /unsubscribe          a button for people, one-click for mail programs
    preferences.py       /preferences          rubric, hour, days, pause, erase
    webhooks.py          /hooks/...            what SendGrid reports
    operator.py          /operator             figures, queues, previews: off by default
    health.py            /healthz /readyz
    metrics.py           /metrics              counts for Prometheus
    connection_limits.py deadlines of requests, a bound on connections

A GET changes nothing, whoever sends it: link scanners open every address in a mail.
"""
