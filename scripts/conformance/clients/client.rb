# SPDX-License-Identifier: Apache-2.0
require 'net/http'
require 'stringio'

base = URI(ARGV.shift)
Net::HTTP.start(base.host, base.port) do |http|
  ARGV.each do |step|
    method, target, body = step.split
    request = Net::HTTP.const_get(method.capitalize).new(target)
    if body.start_with?('chunked:')
      request['Transfer-Encoding'] = 'chunked'
      request.body_stream = StringIO.new('r' * body.delete_prefix('chunked:').to_i)
    elsif body != '-'
      request.body = 'r' * body.to_i
    end
    request['Content-Type'] = 'text/plain' if body != '-'
    http.request(request)
  end
end
