// The states of elections, live: follows the list over a WebSocket and puts new states into the
// cards. Without it the page shows the states of the time at which it was loaded.

const page = document.querySelector("[data-list]");
const mark = page.querySelector("[data-live]");
const said = page.querySelector("[data-said]");
const changed = page.querySelector("[data-changed]");

let isLost = false;
let retry = 1000;
let version = null;

const nameOf = (state) => page.dataset[`name${state[0].toUpperCase()}${state.slice(1)}`] ?? state;

const put = ({ id, state }) => {
  const card = page.querySelector(`[data-election="${CSS.escape(id)}"]`);
  if (!card) {
    changed.hidden = false;
    said.textContent = changed.firstChild.textContent;
    return;
  }
  // An open poll has hours too: the page knows them, a state alone does not.
  if (card.dataset.state === state) return;
  card.dataset.state = state;
  const tag = card.querySelector("[data-tag]");
  tag.textContent = nameOf(state);
  tag.classList.toggle("open", state === "open");
  const vote = card.querySelector("[data-vote]");
  if (vote) vote.hidden = state !== "open";
  const title = card.querySelector("h2").textContent;
  said.textContent = `${title}: ${nameOf(state)}`;
};

const lose = (text) => {
  if (isLost && mark.textContent === text) return;
  isLost = true;
  mark.classList.add("lost");
  mark.textContent = text;
  said.textContent = text;
};

const restore = () => {
  if (!isLost) return;
  isLost = false;
  mark.classList.remove("lost");
  mark.textContent = mark.dataset.live;
  said.textContent = mark.dataset.back;
};

const follow = () => {
  const address = new URL("/api/v1/ws", location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(address);
  let away = mark.dataset.lost;
  socket.addEventListener("open", () => {
    const from = version === null ? {} : { from: { elections: version } };
    socket.send(JSON.stringify({ subscribe: ["elections"], ...from }));
    // With the version that this page has, nothing comes before the next change.
    retry = 1000;
    restore();
  });
  socket.addEventListener("message", (event) => {
    const message = JSON.parse(event.data);
    if (message.event === "bye") {
      if (message.reason === "stopping") away = mark.dataset.away;
      return;
    }
    version = message.data.version;
    message.data.elections.forEach(put);
  });
  socket.addEventListener("close", () => {
    lose(away);
    // Spread, so that thousands of readers do not come back at once.
    setTimeout(follow, retry * (1 + Math.random()));
    retry = Math.min(retry * 2, 30000);
  });
};

mark.hidden = false;
follow();
