import app
import flask

print("routes are ready", app, flask)
