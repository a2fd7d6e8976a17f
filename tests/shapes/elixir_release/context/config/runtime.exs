config :chat, port: 4000
