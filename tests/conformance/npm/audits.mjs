// Runs graphql-http's audits of a server, and prints what does not pass: node audits.mjs URL
import { serverAudits } from 'graphql-http'

const [url] = process.argv.slice(2)
let passed = 0
for (const audit of serverAudits({ url, fetchFn: fetch })) {
  const { status, reason } = await audit.fn()
  if (status === 'ok') passed += 1
  else console.log(`${status}: ${audit.id} ${audit.name}: ${reason}`)
}
console.log(`passed: ${passed}`)
process.exit(0)
