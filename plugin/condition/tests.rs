//! Health, job type by job type.
