//! ferrocni's tests and their harness
