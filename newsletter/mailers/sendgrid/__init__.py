"""Mail through SendGridMailer's Web API v3."""
