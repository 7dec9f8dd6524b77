# SPDX-License-Identifier: Apache-2.0
require 'webrick'

PORT = ENV['CONF_PORT'].to_i
ROOT = ENV['CONF_ROOT']

class App < WEBrick::HTTPServlet::AbstractServlet
  def service(req, res)
    res['Content-Type'] = 'text/plain'
    case req.path
    when '/hello' then res.body = "hello\n"
    when %r{\A/status/(\d+)}
      res.status = $1.to_i
      res.body = "status\n" unless [204, 304].include?(res.status)
    when '/post'
      n = 0
      req.body { |data| n += data.bytesize }
      res.body = "#{n}\n"
    when '/early'
      res.status = 413
      res.keep_alive = false
      res.body = "too much\n"
    when '/big'
      file = File.open("#{ROOT}/big", 'rb')
      res['Content-Length'] = file.size.to_s
      res.body = file
    when '/chunked' then pieces(res, 5, 0, 'x' * 7)
    when '/stream' then pieces(res, 10, 0.05, 's' * 1000)
    when %r{\A/sleep/(\d+)}
      sleep($1.to_i / 1000.0)
      res.body = "slept\n"
    else
      res.status = 404
      res.body = "no such path\n"
    end
  end

  def pieces(res, count, delay, text)
    res.chunked = true
    res.body = lambda do |out|
      count.times do |i|
        sleep delay if i > 0 && delay > 0
        out.write(text)
      end
    end
  end
end

$stdout.sync = true
server = WEBrick::HTTPServer.new(
  BindAddress: '127.0.0.1', Port: PORT, DoNotReverseLookup: true, RequestTimeout: 30,
  Logger: WEBrick::Log.new($stderr, WEBrick::Log::WARN),
  AccessLog: [[$stdout, 'conf|%s|-|%b|-|%r']]
)
server.listen('::1', PORT)
server.mount('/', App)
trap('TERM') { server.shutdown }
server.start
