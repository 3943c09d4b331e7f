//! What the admin asks a service about its projections.

mod routes;
