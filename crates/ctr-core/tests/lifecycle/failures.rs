pub(crate) const TESTS: [crate::Test; 0] = [];
