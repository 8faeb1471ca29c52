// Subscribes without a key over server-sent events and over WebSocket, and prints what the subscriber is told: node refused.mjs URL
import { createClient as createEventsClient } from 'graphql-sse'
import { createClient as createSocketClient } from 'graphql-ws'
import WebSocket from 'ws'

const [url] = process.argv.slice(2)

function subscribe(name, client, told) {
  client.subscribe(
    { query: 'subscription { ticks { place } }' },
    {
      next: (result) => console.log(`${name} ${JSON.stringify(result)}`),
      error: async (error) => console.log(`${name} ${await told(error)}`),
      complete: () => console.log(`${name} completed`),
    },
  )
}

// graphql-sse retries a 401 as it retries a broken connection. An error of `retry` itself ends the subscription.
let refusal = null
const retriesForEver = createEventsClient({
  url,
  retryAttempts: Infinity,
  fetchFn: async (...request) => {
    const response = await fetch(...request)
    if (response.status === 401) refusal = (await response.json()).errors[0].message
    return response
  },
  retry: async (retries) => {
    if (refusal) throw new Error(refusal)
    await new Promise((resolve) => setTimeout(resolve, Math.min(1000 * 2 ** retries, 30_000)))
  },
})
subscribe('events', retriesForEver, (error) => error.message)

const retriesOnce = createEventsClient({ url, retryAttempts: 1, retry: async () => {} })
subscribe('events-at-last', retriesOnce, async (error) => `${error.message} ${await error.response.text()}`)

const socket = createSocketClient({ url: url.replace('http', 'ws'), webSocketImpl: WebSocket, retryAttempts: Infinity })
subscribe('socket', socket, ({ code, reason }) => `${code} ${reason}`)
