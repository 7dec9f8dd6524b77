# SPDX-License-Identifier: Apache-2.0
class Pieces
  def initialize(count, delay, text)
    @count, @delay, @text = count, delay, text
  end

  def each
    @count.times do |i|
      sleep @delay if i > 0 && @delay > 0
      yield @text
    end
  end
end

class BigFile
  def initialize(path)
    @path = path
  end

  def each
    File.open(@path, 'rb') do |f|
      while (data = f.read(65_536))
        yield data
      end
    end
  end
end

def app(env)
  type = { 'Content-Type' => 'text/plain' }
  path = env['PATH_INFO'].sub(%r{\Ahttp://[^/]*}, '')
  case path
  when '/hello' then [200, type.merge('Content-Length' => '6'), env['REQUEST_METHOD'] == 'HEAD' ? [] : ["hello\n"]]
  when '/status/204', '/status/304' then [path[-3..].to_i, {}, []]
  when %r{\A/status/(\d+)} then [$1.to_i, type, ["status\n"]]
  when '/post' then [200, type, ["#{env['rack.input'].read.bytesize}\n"]]
  when '/big' then [200, { 'Content-Length' => File.size("#{ENV['CONF_ROOT']}/big").to_s }, BigFile.new("#{ENV['CONF_ROOT']}/big")]
  when '/chunked' then [200, type, Pieces.new(5, 0, 'x' * 7)]
  when '/stream' then [200, type, Pieces.new(10, 0.05, 's' * 1000)]
  when %r{\A/sleep/(\d+)} then sleep($1.to_i / 1000.0); [200, type, ["slept\n"]]
  when '/hints'
    env['rack.early_hints'].call('Link' => '</style.css>; rel=preload')
    [200, type, ["hinted\n"]]
  else [404, type, ["no such path\n"]]
  end
end

run(lambda { |env|
  answer = app(env)
  target = env['REQUEST_URI'] || env['PATH_INFO']
  $stdout.write("conf|#{answer[0]}|-|-|-|#{env['REQUEST_METHOD']} #{target} HTTP/1.1\n")
  $stdout.flush
  answer
})
