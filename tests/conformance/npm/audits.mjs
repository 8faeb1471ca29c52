// Runs graphql-http's audits of a server, and prints what does not pass: node audits.mjs URL [KEY]
import { serverAudits } from 'graphql-http'

const [url, key] = process.argv.slice(2)
const authorization = key ? { Authorization: `Bearer ${key}` } : {}
const fetchFn = (address, { headers, ...request } = {}) =>
  fetch(address, { ...request, headers: { ...headers, ...authorization } })
let passed = 0
for (const audit of serverAudits({ url, fetchFn })) {
  const { status, reason } = await audit.fn()
  if (status === 'ok') passed += 1
  else console.log(`${status}: ${audit.id} ${audit.name}: ${reason}`)
}
console.log(`passed: ${passed}`)
process.exit(0)
