// Signs an administrator in to the interface for programs, and creates and opens an election of
// members there.
const [signIn, election, done] = arguments;
const call = async (path, body, token) => {
  const headers = { "content-type": "application/json" };
  if (token) headers.authorization = `Bearer ${token}`;
  const answer = await fetch(`/api/v1${path}`, {
    method: "POST",
    headers,
    body: JSON.stringify(body),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text}`);
  return JSON.parse(text);
};
const run = async () => {
  const { access_token: token } = await call("/auth/login", signIn);
  const { invitations } = await call("/elections", election, token);
  await call(`/elections/${election.law_id}/open`, { waivers: [] }, token);
  return invitations;
};
run().then(
  (invitations) => done({ invitations, error: "" }),
  (error) => done({ invitations: [], error: `${error}` }),
);
