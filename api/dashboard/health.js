// How the gateway is, in a few words: beside its version, and as the badge of the providers.

const HEALTHS = { ok: "All systems operational", degraded: "Some providers do not answer", down: "No provider answers" };

const hasAnswered = ({ last_success_at: success }) => Boolean(success);
const answers = (provider) => provider.status === "active" && hasAnswered(provider);

// `status` and `providers` are those of /api/status.
export function healthOf({ status, providers }) {
  if (!providers.some(hasAnswered)) return "No answers yet";
  return providers.some(answers) ? HEALTHS[status] ?? status : HEALTHS.down;
}

// Green only while a provider answers.
export const isAnyLive = ({ providers }) => providers.some(answers);

// Whether each provider that was called could not be reached at all: then it is not the providers.
export function isCutOff({ providers }) {
  const called = providers.filter(({ requests }) => requests);
  return called.length > 1 && called.every(({ status, reason }) => status !== "active" && reason === "connect_error");
}
