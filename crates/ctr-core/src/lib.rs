//! The container lifecycle engine: create, start, stop, kill, wait for and remove containers through any OCI runtime.
