"""Mail and events that come in: replies, bounces, complaints, provider webhooks."""
