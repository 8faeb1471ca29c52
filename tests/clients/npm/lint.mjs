// Prints what graphql-eslint's rules for schemas and for Relay find in schema.graphql.
import graphql from "@graphql-eslint/eslint-plugin";
import { ESLint } from "eslint";

const { "flat/schema-recommended": recommended, "flat/schema-relay": relay } = graphql.configs;
const eslint = new ESLint({
  overrideConfigFile: true,
  overrideConfig: {
    files: ["**/*.graphql"],
    languageOptions: { parser: graphql.parser, parserOptions: { graphQLConfig: { schema: "schema.graphql" } } },
    plugins: { "@graphql-eslint": graphql },
    rules: {
      ...recommended.rules,
      ...relay.rules,
      // What implements Node has an id, and nothing else: values, errors, edges and connections have no identity.
      "@graphql-eslint/strict-id-in-types": "off",
      // Lists of values are no connections, and connections have `nodes` beside `edges`.
      "@graphql-eslint/relay-edge-types": ["error", { listTypeCanWrapOnlyEdgeType: false }],
    },
  },
});
const [{ messages }] = await eslint.lintFiles("schema.graphql");
for (const { ruleId, message } of messages) console.log(`${ruleId.replace("@graphql-eslint/", "")}: ${message}`);
