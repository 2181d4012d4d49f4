-- Bodies for wrk: -- BATCH SEED. Each event is new: of one of 200 students, in one of 40 cells.

local STUDENTS, CELLS, NOTEBOOKS = 200, 40, 2
local EVENT = '{"eventId": "%08x-%04x-4%03x-%04x-%04x%08x", "eventType": "cell_executed", '
  .. '"eventTime": "%s.%03dZ", %s, %s, "executionCount": %d, "executionDurationMs": %d}'
local CODE = table.concat({
  [[import numpy as np\n]],
  [[scores = np.array([72, 85, 91, 64, 78, 88, %d])\n]],
  [[mean, spread = scores.mean(), scores.std()\n]],
  [[print(f\"平均 {mean:.2f}  標準偏差 {spread:.2f}\")\n]],
  [[ranked = sorted(scores, reverse=True)\nprint(ranked[:3])]],
})
local OUTPUT = [[平均 79.71  標準偏差 9.08\n[np.int64(91), np.int64(88), np.int64(85)]  # cell %d]]
local ERROR = [[NameError: name 'score_%d' is not defined]]

local number = 0
local random, format, concat, time, date = math.random, string.format, table.concat, os.time, os.date
local students, cells, parts = {}, {}, {}
local batch, second, stamp, count = 1, 0, "", 0

function setup(thread)
  thread:set("thread_number", number)
  number = number + 1
end

local function student(i)
  return format('"emailAddress": "s%d@example.com", "teamName": "チーム%d", "userName": "学生%d", '
    .. '"sessionId": "78b6456c-c8b5-4fe3-8c2b-%012x"', i, i % 20, i, i)
end

local function cell(i)
  local text = format('"notebookPath": "lesson-%d.ipynb", "cellId": "c-%02d", "cellIndex": %d, '
    .. '"cellType": "code", "code": "%s"', i % NOTEBOOKS, i, i, format(CODE, 60 + i))
  if i % 8 == 7 then
    local message = format(ERROR, i)
    return text .. format(', "hasError": true, "errorMessage": "%s", "result": "%s"', message, message)
  end
  return text .. format(', "hasError": false, "result": "%s"', format(OUTPUT, i))
end

function init(args)
  batch = tonumber(args[1])
  math.randomseed(tonumber(args[2]) + thread_number)
  for i = 1, STUDENTS do students[i] = student(i - 1) end
  for i = 1, CELLS do cells[i] = cell(i - 1) end
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
end

local function event()
  count = count + 1
  return format(EVENT,
    random(0, 4294967295), random(0, 65535), random(0, 4095), random(32768, 49151),
    random(0, 65535), random(0, 4294967295), stamp, random(0, 999),
    students[random(STUDENTS)], cells[random(CELLS)], count, random(1, 2000))
end

function request()
  local now = time()
  if now ~= second then
    second, stamp = now, date("!%Y-%m-%dT%H:%M:%S", now - 1)
  end
  for i = 1, batch do parts[i] = event() end
  return wrk.format(nil, nil, nil, "[" .. concat(parts, ", ", 1, batch) .. "]")
end

function done(summary, latency)
  local errors = summary.errors
  print(format('RESULT {"requests": %d, "seconds": %.6f, "failed": %d, "p50_ms": %.3f, "p99_ms": %.3f}',
    summary.requests, summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.timeout + errors.status,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
