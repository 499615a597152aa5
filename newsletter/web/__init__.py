"""Web pages, webhooks and monitoring: rendered on the server, without JavaScript.

Start with `app.py`: it lists every route with its function. `context.py` has `Site`, which every
page function takes. A GET changes nothing: link scanners open every URL in an email.
"""
