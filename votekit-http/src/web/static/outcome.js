// A vote that is being recorded: waits for its decision over a WebSocket, and loads the page again
// when it is there. Without it, and without a connection, the button on the page does the same.

const page = document.querySelector("[data-pending]");
const note = page.querySelector("[data-note]");
const topic = `vote/${page.dataset.pending}`;

// The code of a socket that the node refuses: it knows no such vote.
const REFUSED = 1008;

let retry = 1000;
let isDecided = false;

const follow = () => {
  const address = new URL("/api/v1/ws", location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(address);
  socket.addEventListener("open", () => {
    socket.send(JSON.stringify({ subscribe: [topic] }));
  });
  socket.addEventListener("message", ({ data }) => {
    const message = JSON.parse(data);
    if (message.topic !== topic || !message.data) return;
    if (message.data.status === "pending") {
      retry = 1000;
      note.hidden = false;
      return;
    }
    isDecided = true;
    socket.close();
    location.reload();
  });
  socket.addEventListener("close", ({ code }) => {
    if (isDecided) return;
    note.hidden = true;
    if (code === REFUSED) return;
    // Spread, so that thousands of voters do not come back at once.
    setTimeout(follow, retry * (1 + Math.random()));
    retry = Math.min(retry * 2, 30000);
  });
};

follow();
