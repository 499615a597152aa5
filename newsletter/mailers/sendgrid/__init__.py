"""Mail through SendGrid's Web API v3."""
