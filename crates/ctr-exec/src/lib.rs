//! A process in a container and the streams attached to it: frames, detach keys, waiting for a pid file or the runtime's death.
