import { createInterface } from "node:readline";

/** The random waits between attempts take a hundredth of their time, so that there are many while a gateway restarts. */
const random = Math.random;
Math.random = () => random() / 100;

export const [url = "", key = ""] = process.argv.slice(2);

const say = (name: string, value: unknown) => console.log(JSON.stringify({ [name]: value ?? null }));

export const sayEvent = ({ installationId, version }: { installationId: string; version: number }) =>
  say("event", [installationId, version]);

/** Prints the code of a GraphQL error, or what else has ended the subscription. */
export function sayError(error: any) {
  const [first] = error.graphQLErrors?.length ? error.graphQLErrors : (error.errors ?? [error].flat());
  say("error", first.extensions?.code ?? first.reason ?? first.message);
}

type Row = { id: string; status: string; version: number };
type Page = { edges: readonly ({ node: Row | null } | null)[] | null; pageInfo: { hasNextPage: boolean } };

/** Returns the rows of the list as the client's cache has them. */
export const rowsOf = (page: Page | null | undefined) =>
  page?.edges?.flatMap((edge) => (edge?.node ? [[edge.node.id, edge.node.status, edge.node.version]] : []));

/** Runs the commands of stdin, lines of {"name": argument}, and prints each result as such a line. */
export function listen(commands: Record<string, (argument: any) => unknown>) {
  createInterface(process.stdin)
    .on("line", async (line) => {
      const [[name, argument]] = Object.entries(JSON.parse(line)) as [[string, unknown]];
      say(name, await commands[name]?.(argument));
    })
    .on("close", () => process.exit());
}
