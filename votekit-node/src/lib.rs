//! The votekit node: accepts votes, makes them durable, decides them once, and publishes a log that
//! anyone can verify.
//!
//! ```text
//! node.submit ─▶ ingest ─▶ ballot box ─▶ validate ─▶ staging (ledger) ─▶ seal ─▶ log (ledger)
//!       │                    (store)        │ registry: a hint             │
//!       │                                   ▼                              ▼
//!       └─ 202 once durable         throttle, hints       query: status, receipts, results, tiles
//!                                                         witness: outside witnesses cosign
//! ```
//!
//! [`votekit_store`] provides the engines behind the storage roles. [`Node`] is the handle for
//! programs that embed a node. The modules below are in this order: foundations, the state of an
//! election, then the tasks in the order of the flow.

pub mod address_range;
pub mod memory;
pub mod metrics;
pub mod node_name;
pub mod time_zone;

mod clock;
mod random;
mod regular_file;

pub mod logging;
pub mod node_record;

mod audit;
mod call_rule;
pub mod config;
pub mod data_folder;

pub mod roll_store;

pub mod error;
mod failure;

pub mod limits;

pub mod accounts;

mod authority;
mod election;
mod leader;
mod pending;
mod upload_claims;

mod binding_rules;

mod context;
pub mod node;

mod recovery;

mod ingest;

mod validate;

mod seal;

mod expiry;
mod status_report;
mod watch;

mod query;
mod witness;

mod lifecycle;

mod admin;
pub mod archive;
pub mod log_repair;

pub use admin::cluster::RetiredNode;
pub use admin::drafts::CreatedElection;
pub use admin::election_requests::{
    AmendElection, AnnulElection, CertifyElection, ChoiceRequest, CloseElection, CreateElection,
    OpenElection, PUBLISH_EVERY,
};
pub use admin::member_accounts::{CreatedWithMembers, MemberInvitation};
pub use admin::roll_loading::{LoadOutcome, LoadReport, LoadedLaw};
pub use admin::stopped_authority::keep_roll_of_stopped;
pub use admin::supplement_report::SupplementReport;
pub use admin::upload::{FileRule, FileUpload, KeptFile, UploadError, UploadView, UploadedFile};
pub use call_rule::{CallRule, FieldFault, MemberFault, MemberRule};
pub use election::{BilingualView, ChoiceView, ElectionView, EpochView, NodeView};
pub use error::{AdminError, ElectionFault, NodeError, NotReady, SubmitError};
pub use failure::NodeFailure;
pub use ingest::sign_in::SIGN_IN_LAWS_MAX;
pub use node::Node;
pub use query::bundle::{Bundle, BundleError, BundleLines};
pub use query::cluster_view::{
    AdmittedNode, AuthorityElection, AuthorityRole, AuthorityView, ClusterView, HaltedElection,
    RefusalView, SuspectView,
};
pub use query::election_watch::{ElectionListWatch, ElectionWatch};
pub use query::health::{
    AuthorityGauges, DependencyFault, DependencyHealth, ElectionGauges, Gauges, Health,
};
pub use query::official_view::OfficialView;
pub use query::status_view::{ElectionStatusView, StatusView};
pub use query::witness_view::{WitnessHead, WitnessView};
pub use query::{ReadError, ReceiptError, ResultsError, VoteStatus};
pub use regular_file::FileKind;
pub use roll_store::{CheckedRoll, RollError, RollView, RolledLaw, UnsignedReason, read_roll};
