// An issuer for the tests, at the address that its first argument is. Its standard input takes key sets, one a line;
// it serves with each from then on, and says so.

import { createInterface } from "node:readline";
import { createServer } from "node:http";
import Provider, { errors } from "oidc-provider";

const [address, audience] = process.argv.slice(2);

function provider(jwks) {
  return new Provider(address, {
    jwks,
    clients: [
      {
        client_id: "ledger",
        client_secret: "the-secret-of-the-test",
        grant_types: ["client_credentials"],
        redirect_uris: [],
        response_types: [],
        id_token_signed_response_alg: jwks.keys[0].alg,
      },
    ],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo(_context, resource) {
          if (resource !== audience) throw new errors.InvalidTarget();
          return {
            audience,
            scope: "platform",
            accessTokenFormat: "jwt",
            accessTokenTTL: 600,
            jwt: { sign: { alg: jwks.keys[0].alg } },
          };
        },
      },
    },
    extraTokenClaims: () => ({ gateway_kind: "platform" }),
  });
}

let answer = (_request, response) => response.writeHead(503).end();
const server = createServer((request, response) => answer(request, response));
server.listen(Number(new URL(address).port), "127.0.0.1", () => console.log("listening"));

for await (const line of createInterface({ input: process.stdin })) {
  answer = provider(JSON.parse(line)).callback();
  console.log("rotated");
}
server.close();
