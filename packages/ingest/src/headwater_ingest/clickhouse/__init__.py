"""The way to ClickHouse: connections, the schema, and the server in a child process."""
