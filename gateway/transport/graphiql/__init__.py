"""GraphiQL, served from the gateway's own files: the browser loads nothing from elsewhere."""
