// Runs axe-core, which the test has put into the page, and returns its findings.
const done = arguments[0];
const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
const line = (rule, node) =>
  `${rule.id} at ${node.target.join(" ")}: ${node.failureSummary.replace(/\s+/g, " ")}`;
window.axe
  .run(document, { runOnly: { type: "tag", values: tags }, resultTypes: ["violations"] })
  .then(
    ({ violations, testEngine }) =>
      done({
        version: testEngine.version,
        findings: violations.flatMap((rule) => rule.nodes.map((node) => line(rule, node))),
      }),
    (error) => done({ version: "", findings: [`axe failed: ${error}`] }),
  );
