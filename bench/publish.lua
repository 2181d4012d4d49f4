-- Bodies for wrk to publish with nchan: as long as an execution_update of ours.

function init()
  wrk.method = "POST"
  wrk.body = '{"event":"execution_update","channel":"progress:s123@example.com","id":'
    .. '"1a20feea986.c9c0d2da-1234","timestamp":"2026-04-01T09:00:00.123000Z","data":{"eventId":'
    .. '"c6510019-caba-4f1d-95f0-7a81dda2a8f1","eventType":"cell_executed","userId":'
    .. '"s123@example.com","notebookPath":"lesson-1.ipynb","cellId":"c-12","status":"success",'
    .. '"executions":1234,"errors":123}}'
end

function done(summary, latency)
  local errors = summary.errors
  print(string.format('RESULT {"requests": %d, "seconds": %.6f, "failed": %d, "p50_ms": %.3f, "p99_ms": %.3f}',
    summary.requests, summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.timeout + errors.status,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
