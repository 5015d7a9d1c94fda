//! PostgreSQL, NATS, an S3 server, nginx and the three services, for `make dev` and for tests.
//!
//! Everything it starts is private: own folders, own free ports on loopback, own passwords. Every child is told to die
//! with the process that started it, so nothing outlives even a killed parent.

pub mod nats;
pub mod nginx;
pub mod postgres;
pub mod process;
pub mod s3;
pub mod seaweedfs;
pub mod services;
pub mod testing;
