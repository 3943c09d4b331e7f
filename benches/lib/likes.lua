-- Ratings as people give them: each thread of wrk is one person with one connection.
-- Arguments: a file with one "token path" a line. Person n takes line n, and the line's paths in turn; every rating
-- differs from the person's last one of that video, so each has to be written.

local people = 0

function setup(thread)
  people = people + 1
  thread:set("person", people)
end

local requests, at = {}, 0

function init(args)
  local line = 0
  for text in io.lines(args[1]) do
    line = line + 1
    if line == person then
      local words = {}
      for word in text:gmatch("%S+") do words[#words + 1] = word end
      for _, rating in ipairs({ "like", "dislike", "none" }) do
        for index = 2, #words do
          local body = '{"rating":"' .. rating .. '"}'
          local headers = { ["Authorization"] = "Bearer " .. words[1], ["Content-Type"] = "application/json" }
          requests[#requests + 1] = wrk.format("PUT", words[index], headers, body)
        end
      end
    end
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end
