//! Endpoints: small daemons, one at each site, that hold objects and fetch them from their peers.
