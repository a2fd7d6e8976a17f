defmodule Chat.MixProject do
  def project, do: [app: :chat, version: "0.1.0"]
end
