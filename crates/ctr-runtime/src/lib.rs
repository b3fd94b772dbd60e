//! The built-in OCI runtime: libcontainer behind the OciRuntime trait and behind the standard OCI command line.
