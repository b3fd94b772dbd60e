//! End-to-end cases of ctr.
