"""The Model Context Protocol at `POST /mcp`: tools for assistants, without state on the server."""
