//! PostgreSQL, NATS, S3, nginx and the services for development and tests.
