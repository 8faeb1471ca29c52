// Follows over WebSocket and server-sent events, and prints what comes: node clients.mjs KEY URL SUCCESSOR
// The first connection of each goes to URL, each later one to SUCCESSOR.
import { createClient as createEventsClient } from 'graphql-sse'
import { createClient as createSocketClient } from 'graphql-ws'
import WebSocket from 'ws'

const [key, first, successor] = process.argv.slice(2)
const authorization = { Authorization: `Bearer ${key}` }
const again = { retryAttempts: 20, wait: () => new Promise((resolve) => setTimeout(resolve, 100)) }

function inTurn() {
  let asked = 0
  return () => (asked++ === 0 ? first : successor)
}

function follow(name, client) {
  client.subscribe(
    { query: 'subscription { ticks { place } }' },
    {
      next: (result) => console.log(`${name} ${JSON.stringify(result)}`),
      error: (error) => console.log(`${name} failed: ${error}`),
      complete: () => console.log(`${name} completed`),
    },
  )
}

const socketUrl = inTurn()
follow(
  'socket',
  createSocketClient({
    url: () => socketUrl().replace('http', 'ws'),
    webSocketImpl: WebSocket,
    connectionParams: authorization,
    retryAttempts: again.retryAttempts,
    retryWait: again.wait,
  }),
)
follow(
  'events',
  createEventsClient({
    url: inTurn(),
    headers: authorization,
    retryAttempts: again.retryAttempts,
    retry: again.wait,
  }),
)
