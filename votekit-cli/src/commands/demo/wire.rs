//! The network between an authority of a demo and the servers that it shares with the others: it
//! can be cut and restored.

use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use parking_lot::Mutex;
use votekit_store::EngineError;
use votekit_store::faults::{Call, Fault, FaultPlan};

/// The network of one authority.
#[derive(Clone, Default)]
pub(super) struct Wire(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    is_cut: bool,
    /// The connections over it, if it consists of sockets.
    open: Vec<TcpStream>,
}

impl Wire {
    /// Ends every connection, and refuses new ones.
    pub(super) fn cut(&self) {
        let mut state = self.0.lock();
        state.is_cut = true;
        for stream in state.open.drain(..) {
            // An error means that the connection has ended already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Takes connections again.
    pub(super) fn restore(&self) {
        self.0.lock().is_cut = false;
    }

    /// Adds a connection; `false` while the network is cut.
    #[cfg(feature = "services")]
    pub(super) fn connect(&self, streams: impl IntoIterator<Item = TcpStream>) -> bool {
        let mut state = self.0.lock();
        if !state.is_cut {
            state.open.extend(streams);
        }
        !state.is_cut
    }
}

impl FaultPlan for Wire {
    fn next_fault(&self, _: Call) -> Fault {
        if !self.0.lock().is_cut {
            return Fault::None;
        }
        let reason = "the network of this authority is cut".to_owned();
        Fault::FailBefore(EngineError::Unavailable { engine: "the ledger", reason })
    }
}
