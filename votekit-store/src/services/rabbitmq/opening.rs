//! Opens a ballot box, and reports at once what an operator must correct.

use std::sync::Arc;

use lapin::Connection;
use tokio::time::timeout;

use super::errors::{misconfigured, too_late};
use super::reconnector::{OPENING_MAX, connect};
use super::refusal::explain;
use super::settings::Settings;
use super::topology::{QueueSurvey, declare, survey};
use crate::EngineError;
use crate::services::url::ServiceAddress;

/// What to do when no ballot box of that prefix exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IfAbsent {
    /// Declare it.
    Make,
    /// Return an error.
    Refuse,
}

/// Connects to a ballot box whose queues match the address.
pub(super) async fn open(
    address: &ServiceAddress,
    if_absent: IfAbsent,
) -> Result<(Arc<Settings>, Connection), EngineError> {
    let settings = Arc::new(Settings::read(address)?);
    let opening = async {
        let connection = connect(&settings).await?;
        let found = survey(&connection, &settings.names).await?;
        let wanted = match found {
            QueueSurvey::Whole => true,
            QueueSurvey::Absent => if_absent == IfAbsent::Make,
            QueueSurvey::TooMany(_) | QueueSurvey::TooFew(_) => false,
        };
        if wanted {
            declare(&connection, &settings.names).await?;
        }
        Ok((connection, found))
    };
    let (connection, found) = timeout(OPENING_MAX, opening)
        .await
        .unwrap_or_else(|_| Err(too_late()))
        .map_err(|error| explain(&settings, &error))?;
    let queues = settings.names.validation.len();
    match found {
        QueueSurvey::Absent if if_absent == IfAbsent::Refuse => Err(misconfigured(
            format!(
                "{address}: no ballot box with this prefix: {} is missing",
                settings.names.dead_letters
            ),
            "give the same address as the nodes, with its virtual host, ?prefix= and ?queues=",
        )),
        QueueSurvey::TooMany(queue) => Err(misconfigured(
            format!(
                "{address}: there are more than {queues} validation queues, the next one is {queue}"
            ),
            "give every process the same ?queues=N, or delete that queue once it is empty",
        )),
        QueueSurvey::TooFew(queue) => Err(misconfigured(
            format!(
                "{address}: there are fewer than {queues} validation queues, {queue} is missing \
                 and would have no consumer"
            ),
            format!(
                "give every process the same ?queues=N; to add queues, stop all processes and \
                 delete {} once it is empty",
                settings.names.dead_letters
            ),
        )),
        QueueSurvey::Whole | QueueSurvey::Absent => Ok((settings, connection)),
    }
}
